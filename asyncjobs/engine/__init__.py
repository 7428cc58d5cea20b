"""
The life of a job, in order: enqueue, wake, claim, run, finish; and what watches over it: presence, rescue.
"""
