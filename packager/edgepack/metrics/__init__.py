"""How close, and how good: measures of agreement, task metrics, and how sure a difference is (numpy only)."""
