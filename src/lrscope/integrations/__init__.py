"""lrscope in other frameworks' training loops: each file needs its own framework and no other."""
