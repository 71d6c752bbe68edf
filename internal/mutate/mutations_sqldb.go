package main

var sqldbMutations = []mutation{}
