"""A model as records, and what changed from one model to another, matched layer by layer.

`model_facts` makes the records, `model_changes` compares two of them, `same_function` says whether
two models compute the same.
"""
