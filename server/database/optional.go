package database

import (
	"context"
	"reflect"

	"gorm.io/gorm/schema"
)

// optional keeps an empty id as NULL: a field of such an id says
// `gorm:"serializer:optional"`.
type optional struct{}

func init() { schema.RegisterSerializer("optional", optional{}) }

// Scan reads NULL as an empty id.
func (optional) Scan(ctx context.Context, field *schema.Field, dst reflect.Value, stored any) error {
	id := ""
	switch v := stored.(type) {
	case string:
		id = v
	case []byte:
		id = string(v)
	}
	field.ReflectValueOf(ctx, dst).SetString(id)
	return nil
}

// Value writes an empty id as NULL.
func (optional) Value(_ context.Context, _ *schema.Field, _ reflect.Value, value any) (any, error) {
	if id, _ := value.(string); id != "" {
		return id, nil
	}
	return nil, nil
}
