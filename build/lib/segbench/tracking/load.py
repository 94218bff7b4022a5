"""What the machine does, under the names that MLflow's own monitor has for it.

That monitor sends what it sees past the journal, and needs MLflow imported while a network is trained.
"""


def machine_load() -> dict[str, float]:
    """Of the whole machine: how much the CPUs were used since the former call, 0 in the first one, and the memory."""
    import psutil  # only while a network is trained

    memory = psutil.virtual_memory()
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": 100 * memory.used / memory.total,
    }
