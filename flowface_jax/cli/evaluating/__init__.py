"""The measures of `flowface evaluate`: what each takes, and how it is called."""
