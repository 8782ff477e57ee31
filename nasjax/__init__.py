"""Small image classifiers within a hard resource budget, found by gradient."""
