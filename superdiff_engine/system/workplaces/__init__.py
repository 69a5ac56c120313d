"""Where work is done: in this process (here.py), in processes beside it (processes.py), or by a cluster of machines
that Ray runs (cluster.py, cluster_process.py, cluster_task.py); one face for all (workplace.py), chosen in choice.py.
"""
