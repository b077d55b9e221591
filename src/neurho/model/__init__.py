"""What a problem is made of: lattices, operators, Lindbladians, pulses, named models, and their texts."""
