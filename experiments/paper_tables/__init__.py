"""What the programs table1.py to table7.py and synthetic_benchmark.py share."""
