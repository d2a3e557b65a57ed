# revseg on a GPU server. The torch wheels bring CUDA; the host needs the NVIDIA driver and the NVIDIA Container Toolkit.
#
#   docker build -t revseg .
#   docker run --rm --init --gpus all --user "$(id -u):$(id -g)" \
#       -v /path/to/davis:/data:ro -v "$PWD/runs:/segment/runs" \
#       revseg revseg-train experiment=davis data.root=/data
#   docker run --rm --init --gpus all -v "$PWD:/videos" -v "$PWD/runs:/segment/runs" \
#       revseg revseg-predict /videos/my.mp4 output=/segment/runs/my
#
# `--init`: without it the command is process 1 of the container, which no signal ends that it does not handle, and which nobody
# but itself frees of processes that have ended.
# Everything is written below /segment/runs: mount it, or it goes with the container. Make that folder on the host first, so that
# it is yours; `--user` runs as you, without it the container runs as the user `revseg` (1000). TensorBoard: publish a
# port and run `tensorboard --logdir runs --bind_all` instead of a revseg command. Without `--gpus all` it runs on the CPU.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 HOME=/tmp USER=revseg

# Triton compiles the GPU kernels' launchers in C at first use, and revseg its kernels for the CPU; what they made, and what was tried out on
# this machine, lies on the mounted folder and is there next time.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
ENV TRITON_CACHE_DIR=/segment/runs/.triton XDG_CACHE_HOME=/segment/runs/.cache

# Dependencies first, from pyproject.toml alone: a change of the source does not download torch again.
WORKDIR /source
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && pip install -r requirements.txt

COPY README.md LICENSE ./
COPY configs configs
COPY revseg revseg
RUN pip install . && rm -rf /source

# World-writable, so that any `--user` can write where no folder is mounted.
RUN useradd --uid 1000 --create-home revseg && install -d -m 1777 /segment /segment/runs
USER revseg
WORKDIR /segment
CMD ["revseg-train", "--help"]
