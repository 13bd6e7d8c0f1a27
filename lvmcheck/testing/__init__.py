"""What a project tests its own parts with: laws of loss functions, the speed of a step, a step on two devices.

Nothing of lvmcheck imports this room unless it is asked for; hypothesis and torch are imported with it.
"""
