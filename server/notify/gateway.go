package notify

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/BurntSushi/toml"
	"golang.org/x/net/http/httpguts"

	"genba/server/cases"
)

// gatewayFile is how an HTTP SMS gateway is spoken to, as an operator writes it
// down (docs/messages.md). URL, headers and body are templates.
type gatewayFile struct {
	Method  string            `toml:"method"`
	URL     string            `toml:"url"`
	Headers map[string]string `toml:"headers"`
	Body    string            `toml:"body"`
	// Values stand in the file, Secrets in files that are named there.
	Values  map[string]string `toml:"values"`
	Secrets map[string]string `toml:"secrets"`
	Answer  struct {
		// Reference is where the gateway's name for the message stands in its JSON.
		Reference string `toml:"reference"`
		// Code is where a result code stands, for gateways that answer 200 to
		// everything; what is not among Accepted is refused, or tried again where it
		// is among RetryCodes.
		Code       string   `toml:"code"`
		Accepted   []string `toml:"accepted"`
		RetryCodes []string `toml:"retry-codes"`
		// Retry are statuses after which it is tried again.
		Retry []int `toml:"retry"`
	} `toml:"answer"`
	Callback *callbackFile `toml:"callback"`
}

type callbackFile struct {
	// Signature is "twilio" or "hmac-sha256".
	Signature string `toml:"signature"`
	// Secret names one of Secrets.
	Secret string `toml:"secret"`
	// Header holds the signature, Timestamp the seconds since 1970 that are signed
	// before the body and a dot.
	Header    string `toml:"header"`
	Timestamp string `toml:"timestamp"`
	// Key and Reference are the fields that name the message, by our key or by the
	// gateway's own reference; Status is the field that says what became of it.
	Key       string   `toml:"key"`
	Reference string   `toml:"reference"`
	Status    string   `toml:"status"`
	Delivered []string `toml:"delivered"`
	Failed    []string `toml:"failed"`
}

// Gateway is an SMS gateway that is spoken to by HTTP.
type Gateway struct {
	file     gatewayFile
	secrets  map[string]string
	address  *template.Template
	body     *template.Template
	headers  map[string]*template.Template
	callback func() string
	client   *http.Client
}

// toGateway is what the templates see.
type toGateway struct {
	Key      string // the same for every attempt at one message
	To       string // E.164
	National string // as it is dialled in Japan, digits only
	Body     string
	Callback string // where the gateway tells the delivery, with our key
	Values   map[string]string
	Secrets  map[string]string
}

const (
	maxGatewayAnswer = 64 << 10
	badRequest       = 400
)

// retried are the statuses after which another attempt may do better: the
// gateway is busy, or its operator has to mend the credentials.
var retried = []int{401, 403, 408, 409, 423, 425, 429}

var gatewayFuncs = template.FuncMap{
	"query": url.QueryEscape,
	"basic": func(user, password string) string {
		return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	},
	"json": func(text string) (string, error) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		err := e.Encode(text)
		return strings.TrimSpace(b.String()), err
	},
}

// OpenGateway reads a gateway's file and tries its templates; it answers every
// fault at once and sends nothing. callback answers the address that the
// gateway may tell deliveries to.
func OpenGateway(path string, callback func() string) (*Gateway, error) {
	g := &Gateway{secrets: map[string]string{}, headers: map[string]*template.Template{}, callback: callback}
	meta, err := toml.DecodeFile(path, &g.file)
	if err != nil {
		return nil, fmt.Errorf("sms-gateway: %w", err)
	}
	var faults []error
	fault := func(format string, v ...any) { faults = append(faults, fmt.Errorf("sms-gateway: "+format, v...)) }
	for _, key := range meta.Undecoded() {
		fault("%s: no such setting", key)
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodGet}, g.file.Method) {
		fault("method: must be POST, PUT or GET")
	}
	for name, file := range g.file.Secrets {
		secret, err := secretIn(file)
		if err != nil {
			fault("secrets.%s: %w", name, err)
		}
		g.secrets[name] = secret
	}
	read := func(what, text string) *template.Template {
		t, err := template.New(what).Option("missingkey=error").Funcs(gatewayFuncs).Parse(text)
		if err != nil {
			fault("%w", err)
		}
		return t
	}
	g.address, g.body = read("url", g.file.URL), read("body", g.file.Body)
	for name, text := range g.file.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			fault("headers: %q is no header", name)
		}
		g.headers[name] = read("headers."+name, text)
	}
	if len(faults) == 0 {
		faults = append(faults, g.try()...)
	}
	faults = append(faults, g.checkAnswer()...)
	if g.file.Callback != nil {
		faults = append(faults, g.checkCallback()...)
	}
	g.client = &http.Client{
		Timeout:       sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // what it says is for that host only
	}
	return g, errors.Join(faults...)
}

// try fills the templates in with a message that has everything a message may
// have.
func (g *Gateway) try() (faults []error) {
	m := Message{Key: "0198f7c2-0000-7000-8000-000000000000", Channel: SMS, To: "+819012345678", Body: "\"県警\\\" & <です>\nhttps://report.example.jp/v#0123456789abcdefghijkl"}
	r, err := g.request(context.Background(), m, "https://report.example.jp"+CallbackPath)
	if err != nil {
		return []error{fmt.Errorf("sms-gateway: %w", err)}
	}
	fault := func(format string, v ...any) { faults = append(faults, fmt.Errorf("sms-gateway: "+format, v...)) }
	if a, err := netip.ParseAddr(r.URL.Hostname()); r.URL.Scheme != "https" && (r.URL.Scheme != "http" || r.URL.Hostname() != "localhost" && (err != nil || !a.IsLoopback())) {
		fault("url: must begin with https")
	}
	if r.URL.Host == "" || r.URL.User != nil {
		fault("url: must name a host, and nobody's password")
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body) // a buffer
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") && !json.Valid(body) {
		fault("body: is no JSON where the text has quotes or line breaks; write {{json .Body}}, without quotes of your own")
	}
	sent := r.URL.String() + string(body)
	for name := range r.Header {
		sent += r.Header.Get(name)
	}
	for what, text := range map[string]string{"{{.Key}}": m.Key, "the number": "9012345678"} {
		if !strings.Contains(sent, text) {
			fault("%s stands nowhere in the request", what)
		}
	}
	if !strings.Contains(sent, "0123456789abcdefghijkl") {
		fault("{{.Body}} stands nowhere in the request")
	}
	return faults
}

func (g *Gateway) checkAnswer() (faults []error) {
	a := g.file.Answer
	fault := func(format string, v ...any) { faults = append(faults, fmt.Errorf("sms-gateway: "+format, v...)) }
	if (a.Code == "") != (len(a.Accepted) == 0) {
		fault("answer.code, answer.accepted: both or neither")
	}
	if a.Code == "" && len(a.RetryCodes) > 0 {
		fault("answer.retry-codes: needs answer.code")
	}
	for _, status := range a.Retry {
		if status < badRequest || status > 599 {
			fault("answer.retry: %d is no status of a failure", status)
		}
	}
	return faults
}

func (g *Gateway) checkCallback() (faults []error) {
	c := g.file.Callback
	fault := func(format string, v ...any) {
		faults = append(faults, fmt.Errorf("sms-gateway: callback."+format, v...))
	}
	switch c.Signature {
	case signedByTwilio:
		if c.Header != "" || c.Timestamp != "" {
			fault("header, callback.timestamp: are not for twilio")
		}
	case signedByHMAC:
		if !httpguts.ValidHeaderFieldName(c.Header) {
			fault("header: must name the header with the signature")
		}
		if c.Timestamp != "" && !httpguts.ValidHeaderFieldName(c.Timestamp) {
			fault("timestamp: is no header")
		}
	default:
		fault("signature: must be %s or %s", signedByTwilio, signedByHMAC)
	}
	if g.file.Secrets[c.Secret] == "" {
		fault("secret: must name one of secrets")
	}
	if c.Key == "" && c.Reference == "" {
		fault("key, callback.reference: one of them must name the message")
	}
	if c.Reference != "" && c.Key == "" && g.file.Answer.Reference == "" {
		fault("reference: needs answer.reference, to know what the gateway calls it")
	}
	if c.Status == "" || len(c.Delivered) == 0 {
		fault("status, callback.delivered: both are needed")
	}
	return faults
}

func (g *Gateway) request(ctx context.Context, m Message, callback string) (*http.Request, error) {
	to := toGateway{
		Key: m.Key, To: m.To, National: strings.Join(cases.Groups(m.To), ""), Body: m.Body,
		Callback: callback, Values: g.file.Values, Secrets: g.secrets,
	}
	fill := func(t *template.Template) (string, error) {
		var b strings.Builder
		err := t.Execute(&b, to)
		return b.String(), err
	}
	address, err := fill(g.address)
	if err != nil {
		return nil, err
	}
	body, err := fill(g.body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, g.file.Method, address, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("url: cannot be read") // err would repeat what stands in it
	}
	r.Header.Set("User-Agent", "Genba")
	for name, t := range g.headers {
		text, err := fill(t)
		if err != nil {
			return nil, err
		}
		if !httpguts.ValidHeaderFieldValue(text) {
			return nil, fmt.Errorf("headers.%s: holds what no header may hold", name)
		}
		r.Header.Set(name, text)
	}
	return r, nil
}

// Send hands the message to the gateway.
func (g *Gateway) Send(ctx context.Context, m Message) (string, error) {
	r, err := g.request(ctx, m, g.callback()+"?key="+url.QueryEscape(m.Key))
	if err != nil {
		return "", fmt.Errorf("%w: the request cannot be written", ErrPermanent)
	}
	answer, err := g.client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", errors.New("sms gateway: not reached") // err would repeat the address
	}
	defer func() { _ = answer.Body.Close() }() // all that counts was read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxGatewayAnswer))
	if err != nil {
		return "", errors.New("sms gateway: its answer broke off")
	}
	status := answer.StatusCode
	again := status >= http.StatusInternalServerError || slices.Contains(retried, status)
	if len(g.file.Answer.Retry) > 0 {
		again = slices.Contains(g.file.Answer.Retry, status)
	}
	switch {
	case status >= http.StatusOK && status < http.StatusMultipleChoices:
	case again:
		return "", fmt.Errorf("sms gateway: answered %d", status)
	default:
		return "", fmt.Errorf("%w: the gateway answered %d", ErrPermanent, status)
	}
	if a := g.file.Answer; a.Code != "" {
		switch code := fieldOf(body, a.Code); {
		case slices.Contains(a.Accepted, code):
		case code == "" || slices.Contains(a.RetryCodes, code):
			return "", errors.New("sms gateway: its answer says to try again, or nothing")
		default:
			return "", fmt.Errorf("%w: the gateway's answer says no", ErrPermanent)
		}
	}
	if g.file.Answer.Reference == "" {
		return "", nil
	}
	return fieldOf(body, g.file.Answer.Reference), nil
}

// fieldOf reads a field of a JSON text by its path, as "result.messages.0.id";
// empty where it is not there.
func fieldOf(body []byte, path string) string {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var at any
	if d.Decode(&at) != nil {
		return ""
	}
	for step := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(v) {
				return ""
			}
			at = v[n]
		default:
			return ""
		}
	}
	switch v := at.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}
