"""The shapes of requests and answers, one module per vocabulary of the API. Rules are in `domain`."""
