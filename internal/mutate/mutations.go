package main

import "slices"

// laws are those that hold and so need a mutation each. A law that begins to
// hold is added here together with its first mutation.
var laws = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}

// mutations break the code one line at a time; the comment of each law's test
// names its own. Keep Old as short as it can be and still occur once, and let
// the mutant compile.
var mutations = slices.Concat(leaseMutations, clientMutations, sqldbMutations, codeMutations, reviewMutations, sessionMutations, transportMutations, hearsayMutations, secretMutations, heldMutations, authMutations, kvWatchMutations, kvReadMutations, awsMutations, kvWriteMutations, loadMutations, envMutations)
