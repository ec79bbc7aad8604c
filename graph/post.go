package graph

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"genba/server/problem"
)

// The media types of an answer (GraphQL over HTTP). With the newer one the HTTP
// status tells whether the operation was carried out; with the older one it is
// 200 whenever the request was one.
const (
	responseJSON = "application/graphql-response+json"
	plainJSON    = "application/json"
)

// post answers one operation by POST. entrance has checked the request's kind,
// size and shape. The data that the executor has encoded is written as it is.
type post struct{}

// Supports takes every POST that is no upgrade.
func (post) Supports(r *http.Request) bool {
	return r.Method == http.MethodPost && r.Header.Get("Upgrade") == ""
}

// Do runs the operation and writes its answer.
func (post) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx, kind := r.Context(), answerKind(r.Header.Values("Accept"))
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	params := &graphql.RawParams{Headers: r.Header, ReadTime: graphql.TraceTiming{Start: graphql.Now()}}
	decoder := json.NewDecoder(r.Body)
	decoder.UseNumber()
	if err := decoder.Decode(params); err != nil {
		refused := present(ctx, problem.Wrap(problem.QueryInvalid, err))
		write(w, http.StatusBadRequest, &graphql.Response{Errors: []*graphqlError{refused}})
		return
	}
	params.ReadTime.End = graphql.Now()
	op, errs := exec.CreateOperationContext(ctx, params)
	if errs == nil && op.Operation.Operation == ast.Subscription { // its answers need a stream
		errs = append(errs, present(ctx, problem.New(problem.QueryInvalid)))
	}
	if errs != nil {
		response := exec.DispatchError(graphql.WithOperationContext(ctx, op), errs)
		write(w, refusedStatus(kind, response), response)
		return
	}
	responses, ctx := exec.DispatchOperation(ctx, op)
	write(w, http.StatusOK, responses(ctx))
}

// answerKind is the first media type of Accept that can be given; plain JSON
// where Accept says nothing or names no other.
func answerKind(accept []string) string {
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		kind, _, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		switch kind {
		case responseJSON:
			return responseJSON
		case plainJSON, "application/*", "*/*":
			return plainJSON
		}
	}
	return plainJSON
}

// refusedStatus is the status of an operation that was not carried out.
func refusedStatus(kind string, response *graphql.Response) int {
	if kind == plainJSON {
		return http.StatusOK
	}
	if len(response.Errors) > 0 {
		if reason, ok := response.Errors[0].Extensions["reason"].(problem.Reason); ok {
			return problem.New(reason).Status()
		}
	}
	return http.StatusBadRequest
}

// write sends a response; one without data never ran, and has no data entry.
func write(w http.ResponseWriter, status int, response *graphql.Response) {
	var b bytes.Buffer
	b.WriteByte('{')
	if response != nil && len(response.Errors) > 0 {
		errs, err := json.Marshal(response.Errors)
		if err != nil {
			slog.Error("encode errors", "error", err)
			errs = []byte("[]")
		}
		b.WriteString(`"errors":`)
		b.Write(errs)
	}
	if response != nil && response.Data != nil {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"data":`)
		b.Write(response.Data)
	}
	b.WriteByte('}')
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader may have left
}
