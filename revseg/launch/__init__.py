"""What a training is made of before its first step: its task, its network, its trainer."""
