// The app of the tests' project. It is hashed, copied and edited, and never compiled.
package main

func main() {}
