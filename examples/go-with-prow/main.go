// Command go-with-prow greets, once for each of its packages.
package main

import (
	"fmt"
	"io"
	"os"

	"example.com/go-with-prow/pkg01"
	"example.com/go-with-prow/pkg02"
)

func main() {
	greet(os.Stdout)
}

// greet writes every package's greeting to out, one a line.
func greet(out io.Writer) {
	for _, greeting := range []string{helloMain(), pkg01.Hello(), pkg02.Hello()} {
		fmt.Fprintln(out, greeting)
	}
}

func helloMain() string {
	return "Hello from main!"
}
