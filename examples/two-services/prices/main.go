// Prices knows what things cost. Only the shop asks it; it has no address outside the cluster.
package main

import (
	"encoding/json"
	"log"
	"net/http"
)

// cents are the prices by article.
var cents = map[string]int{"bread": 320, "milk": 150, "honey": 690}

func main() {
	serve(":8080", routes())
}

// routes returns the paths of the service.
func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /prices/{article}", func(w http.ResponseWriter, r *http.Request) {
		price, known := cents[r.PathValue("article")]
		if !known {
			http.Error(w, "no such article", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]int{"cents": price}); err != nil {
			log.Print(err)
		}
	})
	return mux
}
