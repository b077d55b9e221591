"""neurho"""
