"""Requests and answers that the API and the console share, checked when they are made."""
