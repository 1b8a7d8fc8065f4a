FROM python:3.13-slim AS packages
COPY requirements.txt /
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install \
        --no-cache-dir --no-deps --only-binary :all: --require-hashes -r /requirements.txt

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=production \
    DATA_DIR=/data
COPY --from=packages /opt/venv /opt/venv
COPY app /srv/app
# Bytecode is made here, for the root file system may be read-only. A new volume takes over the
# owner of /data from the image; the number is fixed, so that a volume outlives the image.
RUN python -m compileall -q /srv/app \
    && install -d -m 0700 -o 65532 -g 65532 /data
USER 65532:65532
WORKDIR /srv
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["python", "-m", "app", "--host", "0.0.0.0"]
