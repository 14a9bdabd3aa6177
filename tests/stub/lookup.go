// Looks names up as Go programs do: the addresses, or the error's own words.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

func main() {
	resolver := net.Resolver{PreferGo: true}
	found, err := resolver.LookupIPAddr(context.Background(), os.Args[1])
	var wrong *net.DNSError
	if errors.As(err, &wrong) {
		fmt.Println("lookup " + wrong.Name + ": " + wrong.Err)
		os.Exit(1)
	}
	for _, each := range found {
		fmt.Println(each.String())
	}
}
