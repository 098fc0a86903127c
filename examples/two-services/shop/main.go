// Shop shows articles with their prices, for which it asks the service prices.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"
)

// errUnknown says that prices does not know an article.
var errUnknown = errors.New("no such article")

func main() {
	client := &prices{url: os.Getenv("PRICES_URL"), http: &http.Client{Timeout: 5 * time.Second}}
	serve(":8080", routes(client))
}

// prices is a client of the service prices.
type prices struct {
	url  string
	http *http.Client
}

// of returns what an article costs, in cents. An article that prices does not know is errUnknown.
func (p *prices) of(ctx context.Context, article string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/prices/"+url.PathEscape(article), nil)
	if err != nil {
		return 0, err
	}
	answer, err := p.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		var price struct{ Cents int }
		err := json.NewDecoder(answer.Body).Decode(&price)
		return price.Cents, err
	case http.StatusNotFound:
		return 0, errUnknown
	default:
		return 0, fmt.Errorf("prices answers %s", answer.Status)
	}
}

// routes returns the pages of the shop.
func routes(client *prices) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /articles/{article}", func(w http.ResponseWriter, r *http.Request) {
		article := r.PathValue("article")
		cents, err := client.of(r.Context(), article)
		switch {
		case errors.Is(err, errUnknown):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			log.Printf("price of %s: %v", article, err)
			http.Error(w, "prices does not answer", http.StatusBadGateway)
		default:
			fmt.Fprintf(w, "%s: %d.%02d\n", article, cents/100, cents%100)
		}
	})
	return mux
}
