# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/install.txt requirements/server.txt requirements/
RUN python -m venv /opt/berrante \
 && /opt/berrante/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/install.txt \
 && /opt/berrante/bin/uv pip install --no-cache --python /opt/berrante/bin/python --require-hashes -r requirements/server.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/berrante/bin/uv pip install --no-cache --python /opt/berrante/bin/python --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/berrante --shell /usr/sbin/nologin berrante \
 && install -d -o berrante -g berrante /var/lib/berrante
COPY --from=build /opt/berrante /opt/berrante
ENV PATH=/opt/berrante/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BERRANTE_ENV=production \
    BERRANTE_HOST=0.0.0.0 \
    BERRANTE_HEALTH_PORT=9100 \
    BERRANTE_LOG_FORMAT=json \
    BERRANTE_DATA_DIR=/var/lib/berrante
WORKDIR /var/lib/berrante
USER 10001:10001
EXPOSE 8000 9100
STOPSIGNAL SIGTERM
# Live, not ready: a restart mends no engine that is away.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9100/health/live', timeout=4)"]
ENTRYPOINT ["berrante"]
CMD ["web"]
