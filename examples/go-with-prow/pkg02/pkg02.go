// Package pkg02 greets.
package pkg02

// Hello returns this package's greeting.
func Hello() string {
	return helloPkg02()
}

func helloPkg02() string {
	return "Hello from Pkg02!"
}
