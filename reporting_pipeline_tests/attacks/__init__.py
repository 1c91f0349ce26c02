"""What an attacker tries on the running product, and the right answer: each finding with its siblings."""
