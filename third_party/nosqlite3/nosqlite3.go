// Package sqlite3 stands in for the cgo driver that gorm.io/driver/sqlite names but Genba never uses.
package sqlite3
