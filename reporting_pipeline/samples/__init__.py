"""Sample trials: CDISC Pilot 01 and a synthetic one, with generated files. For the demo and the tests."""
