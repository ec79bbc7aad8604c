// Package blob owns sealed bytes: keys in a folder of their own, and files made
// of sealed segments in the data folder.
//
// A file is a row of segments. Each segment is one age file of at most
// MaxSegment plain bytes, written and synced before Append returns, and each
// names the hash of the one before it, so a changed, swapped or missing segment
// is found and located. The index is rebuilt by scanning; a torn tail, which
// was never acknowledged, is dropped.
//
// It leaves to others what a file means, who may read it, when it is due and
// which of the keys wraps which: the room that stores a file decides all that.
package blob

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"filippo.io/age"
)

var (
	// ErrNoKey says that a key was never made, or was destroyed.
	ErrNoKey = errors.New("blob: no such key")
	// ErrName says that a name is not a relative path of plain parts.
	ErrName = errors.New("blob: bad name")
)

const (
	// MaxName bounds the length of a key or file name, in bytes.
	MaxName = 255

	folderMode = 0o700
	fileMode   = 0o600
	keySuffix  = ".key"
	tempPrefix = ".new-"
)

var namePart = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`)

func checkName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("%w: %d bytes", ErrName, len(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		if !namePart.MatchString(part) {
			return ErrName
		}
	}
	return nil
}

// Key seals and opens bytes. It is safe for concurrent use.
type Key struct {
	identity *age.X25519Identity
	secret   string
}

// NewKey makes a random key that is stored nowhere.
func NewKey() (*Key, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return &Key{identity: identity, secret: identity.String()}, nil
}

func parseKey(text string) (*Key, error) {
	identity, err := age.ParseX25519Identity(strings.TrimSpace(text))
	if err != nil {
		// age's error may quote its input, which is the secret.
		return nil, errors.New("blob: malformed key")
	}
	return &Key{identity: identity, secret: identity.String()}, nil
}

// Seal encrypts plain into one age file.
func (k *Key) Seal(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(plain) + len(plain)/4096 + 512)
	w, err := age.Encrypt(&out, k.identity.Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return out.Bytes(), nil
}

// Open decrypts what Seal made with the same key.
func (k *Key) Open(sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), k.identity)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	var out bytes.Buffer
	out.Grow(len(sealed))
	if _, err := io.Copy(&out, r); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return out.Bytes(), nil
}

// Wrap seals another key with this one.
func (k *Key) Wrap(other *Key) ([]byte, error) {
	return k.Seal([]byte(other.secret))
}

// Unwrap opens a key that Wrap sealed with this one.
func (k *Key) Unwrap(wrapped []byte) (*Key, error) {
	secret, err := k.Open(wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrap key: %w", err)
	}
	return parseKey(string(secret))
}

// MAC is HMAC-SHA256 over data with a subkey that serves nothing else.
func (k *Key) MAC(data []byte) []byte {
	return mac(k.subkey("mac"), data)
}

func (k *Key) subkey(purpose string) []byte {
	return mac([]byte(k.secret), []byte("genba "+purpose))
}

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

// Keys is a folder of keys, outside the data folder and never in its backups.
// What is destroyed here opens nothing any more, wherever copies of the sealed
// bytes may be. It is safe for concurrent use, and by several processes.
type Keys struct {
	dir     string
	folders *folders
	write   func(f *os.File, b []byte, at int64) (int, error)

	mu sync.Mutex
	// kept says of which keys it is known that their names are on disk.
	kept map[string]bool
}

// OpenKeys opens the key folder, making it (mode 0700) where it is absent.
// A folder that others may read is refused.
func OpenKeys(dir string) (*Keys, error) {
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("open keys: folder %s is open to others (mode %04o); use 0700", dir, info.Mode().Perm())
	}
	return &Keys{dir: dir, folders: newFolders(dir), write: (*os.File).WriteAt, kept: map[string]bool{}}, nil
}

// Ensure answers the key of that name, making it where there is none. The key
// is on disk, file and folder synced, before Ensure returns: what it sealed must
// not outlive it. Names are paths such as "open/<id>" or
// "due/<agency>/2026-12-01".
func (k *Keys) Ensure(name string) (*Key, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.read(name)
	if err == nil && k.kept[name] || err != nil && !errors.Is(err, ErrNoKey) {
		return key, err
	}
	folder := filepath.Dir(k.path(name))
	if err := k.folders.ensure(folder); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if err != nil {
		if err := k.make(name); err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
	}
	// One that is there already may be left by a sync that failed, or by a
	// process that ended before it.
	if err := k.folders.sync(folder); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	k.kept[name] = true
	return k.read(name)
}

func (k *Keys) make(name string) error {
	key, err := NewKey()
	if err != nil {
		return err
	}
	path := k.path(name)
	temp := filepath.Join(filepath.Dir(path), tempPrefix+rand.Text())
	if err := k.writeTemp(temp, []byte(key.secret+"\n")); err != nil {
		return err
	}
	// A hard link never replaces: of two processes one makes the key and both
	// read the same one.
	linkErr := os.Link(temp, path)
	if errors.Is(linkErr, fs.ErrExist) {
		linkErr = nil
	}
	return errors.Join(linkErr, os.Remove(temp))
}

// Get answers the key of that name, or ErrNoKey.
func (k *Keys) Get(name string) (*Key, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read(name)
}

func (k *Keys) read(name string) (*Key, error) {
	text, err := os.ReadFile(k.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := parseKey(string(text))
	if err != nil && len(bytes.Trim(text, "\x00")) == 0 {
		// Overwritten, but the process died before it could unlink.
		return nil, ErrNoKey
	}
	return key, err
}

// Destroy overwrites a key, syncs, unlinks it and syncs its folder. A key that
// is already gone is no error, so the step may be repeated after a crash.
func (k *Keys) Destroy(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.kept, name)
	path := k.path(name)
	if err := overwrite(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("destroy key: %w", err)
	}
	return removeSynced(path)
}

func overwrite(path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, info.Size()), 0); err != nil {
		return err
	}
	return f.Sync()
}

// List answers the names of all keys that begin with prefix, sorted.
func (k *Keys) List(prefix string) ([]string, error) {
	var names []string
	folder, _ := filepath.Split(filepath.FromSlash(prefix))
	if folder != "" && !filepath.IsLocal(folder) {
		return nil, ErrName
	}
	err := filepath.WalkDir(filepath.Join(k.dir, folder), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // destroyed meanwhile, or no such folder
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, keySuffix) || strings.HasPrefix(entry.Name(), tempPrefix) {
			return err
		}
		rel, err := filepath.Rel(k.dir, path)
		if err != nil {
			return err
		}
		if name := strings.TrimSuffix(filepath.ToSlash(rel), keySuffix); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

func (k *Keys) path(name string) string {
	return filepath.Join(k.dir, filepath.FromSlash(name)+keySuffix)
}

// writeTemp makes a file that is synced; where it fails, nothing stays.
func (k *Keys) writeTemp(path string, text []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if _, err := k.write(f, text, 0); err != nil {
		return err
	}
	return f.Sync()
}

// makeFolder makes a folder and its missing parents, each one synced into the
// folder that holds it.
func makeFolder(dir string) error {
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", dir)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncFolder(parent); err != nil {
		return errors.Join(err, os.Remove(dir)) // made and synced anew the next time
	}
	return nil
}

// folders makes the folders below a root that is there. Unlike a file's, a
// folder's sync may be tried again: a file system that cannot write its names
// takes nothing any more. It is safe for concurrent use.
type folders struct {
	sync func(dir string) error

	mu sync.Mutex
	// kept says of which folders it is known that their names are on disk.
	kept map[string]bool
}

func newFolders(root string) *folders {
	return &folders{sync: syncFolder, kept: map[string]bool{filepath.Clean(root): true}}
}

// ensure makes a folder and its missing parents, and returns once each is on
// disk. One that is there already may be left by a sync that failed, or by a
// process that ended before it: each process syncs it once.
func (f *folders) ensure(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.make(dir)
}

func (f *folders) make(dir string) error {
	if f.kept[dir] {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := f.make(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := f.sync(parent); err != nil {
		return err
	}
	f.kept[dir] = true
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func removeSynced(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := syncFolder(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
