"""Made-up performances with exact ground truth."""
