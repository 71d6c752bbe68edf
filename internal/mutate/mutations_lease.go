package main

var leaseMutations = []mutation{}
