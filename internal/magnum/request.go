package magnum

import "context"

type requestIDKey struct{}

// WithRequestID says which request (x-openstack-request-id) the work under ctx is done for.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the request that the work under ctx is done for; empty when no request asked for it.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
