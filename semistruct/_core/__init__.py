"""The ground floor: targets, terms, validation, randomness."""
