# The shop as one static program in an empty image.
#
#   docker build -t leeway-shop .
#   docker run --read-only -p 127.0.0.1:8080:8080 -e SHOP_ADDR=:8080 -e SHOP_NODES=... leeway-shop
FROM golang:1.26 AS build
ENV GOCACHE=/go/cache
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# Without cgo it needs no C library, and so nothing of an operating system.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/cache \
    CGO_ENABLED=0 go build -ldflags='-s -w' -o /shop ./cmd/shop

FROM scratch
# For servers whose certificate is signed by a public authority (sslmode=verify-full).
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /shop /shop
# Any number but 0: there are no users in here. A number also lets Kubernetes see that it
# is not root (runAsNonRoot).
USER 65532:65532
EXPOSE 8080
# /readyz on SHOP_ADDR: a shop that has only replicas is healthy, it can be browsed. Exec
# form, because there is no shell.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/shop", "health"]
ENTRYPOINT ["/shop"]
CMD ["serve"]
