// Command etcd is the server of that name, which publishes no program of its own to build
// by its module's path.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
