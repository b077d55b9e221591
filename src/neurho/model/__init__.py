"""What a problem is made of: lattices, operators, Lindbladians, pulses, named models, and how they are read and exchanged."""
