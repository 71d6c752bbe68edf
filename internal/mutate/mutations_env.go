package main

// envMutations are of what a program asks the environment for, by ConfigFromEnv.
var envMutations = []mutation{
}
