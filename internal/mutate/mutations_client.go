package main

var clientMutations = []mutation{}
