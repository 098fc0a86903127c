// Package ext is where commercial builds of Traefik add settings; here, as upstream, there are none.
package ext

type HTTP struct{}

func (*HTTP) DeepCopyInto(*HTTP) {}

type Router struct{}

func (*Router) DeepCopyInto(*Router) {}
