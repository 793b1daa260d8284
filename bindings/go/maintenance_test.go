package atoll

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStoresAreCopiedCheckedAndMadeAgain(t *testing.T) {
	store, home := open(t, nil)
	dir := t.TempDir()
	copied, again, saved := filepath.Join(dir, "copy"), filepath.Join(dir, "again"), filepath.Join(dir, "saved")
	for i := 0; i < 100; i++ {
		must(t, store.Put([]byte(fmt.Sprint("key-", i)), bytes.Repeat([]byte("v"), i), nil))
	}
	steps := 0
	report, err := store.Backup(background, copied, false, func(done, total uint64) {
		if done > total {
			t.Error(done, total)
		}
		steps++
	})
	must(t, err)
	if steps == 0 || !bytes.Contains(report, []byte("bytes_copied")) {
		t.Fatal(steps, string(report))
	}
	_, err = store.Backup(background, home, true, nil)
	wants(t, err, ErrInvalid)
	if found, err := store.Verify(background, nil); err != nil || found.Damaged != 0 {
		t.Fatal(found, err)
	}
	if found, err := VerifyBackup(background, copied, nil); err != nil || found.Damaged != 0 {
		t.Fatal(found, err)
	}
	_, err = Repair(background, home, saved, nil)
	wants(t, err, ErrLocked)
	if about, err := store.Approximate(&Range{Prefix: []byte("key-")}); err != nil || about.Records < 90 || about.Bytes == 0 {
		t.Fatal(about, err)
	}
	if n, err := store.DeleteRange(background, &Range{Prefix: []byte("key-1")}, nil); err != nil || n != 11 {
		t.Fatal(n, err)
	}
	_, err = store.DeleteRange(background, &Range{Limit: 1}, nil)
	wants(t, err, ErrInvalid)
	_, err = store.DeleteRange(background, nil, &Write{TTL: time.Second})
	wants(t, err, ErrInvalid)
	must(t, store.Close())
	_, err = Restore(background, copied, again, nil)
	must(t, err)
	_, err = Restore(background, copied, again, nil)
	wants(t, err, ErrInvalid)
	if found, err := Repair(background, home, saved, nil); err != nil || found.Damaged != 0 {
		t.Fatal(found, err)
	}
	restored, err := Open(background, again, &Options{MustExist: true})
	must(t, err)
	defer restored.Close()
	if value, err := restored.Get([]byte("key-17")); err != nil || len(value) != 17 {
		t.Fatal(value, err)
	}
	ended, cancel := context.WithCancel(background)
	cancel()
	_, err = restored.Backup(ended, copied, false, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestWhatAProgressPanicsWithComesOut(t *testing.T) {
	store, _ := open(t, nil)
	must(t, store.Put([]byte("k"), nil, nil))
	defer func() {
		if panicked := recover(); panicked != "enough" {
			t.Fatal(panicked)
		}
		if _, err := store.Get([]byte("k")); err != nil {
			t.Fatal(err)
		}
	}()
	store.Backup(background, filepath.Join(t.TempDir(), "copy"), false, func(uint64, uint64) { panic("enough") })
	t.Fatal("it did not panic")
}

func TestDamagedBackupsAreNotRestored(t *testing.T) {
	store, _ := open(t, nil)
	must(t, store.Put([]byte("k"), []byte("a value that will be hurt"), nil))
	copied := filepath.Join(t.TempDir(), "copy")
	_, err := store.Backup(background, copied, false, nil)
	must(t, err)
	must(t, filepath.WalkDir(copied, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, bytes.ReplaceAll(data, []byte("be hurt"), []byte("be hurT")), 0o600)
	}))
	if found, err := VerifyBackup(background, copied, nil); err != nil || found.Damaged == 0 {
		t.Fatal(found, err)
	}
	again := filepath.Join(t.TempDir(), "again")
	_, err = Restore(background, copied, again, nil)
	wants(t, err, ErrCorrupt)
	if _, err := os.Stat(again); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestClustersAreCopiedCheckedAndWell(t *testing.T) {
	cluster, _ := openCluster(t, &ClusterOptions{Shards: 3, Replicas: 2})
	session := cluster.Session()
	keys := make([][]byte, 50)
	for i := range keys {
		keys[i] = []byte(fmt.Sprintf("key-%02d", i))
		must(t, session.Put(background, keys[i], keys[i], &ClusterWrite{Durability: ClusterBuffered}))
	}
	values, err := session.GetMany(background, append(keys[:50:50], []byte("none")))
	must(t, err)
	for i, key := range keys {
		if !bytes.Equal(values[i], key) {
			t.Fatal(i, values[i])
		}
	}
	if values[50] != nil {
		t.Fatal(values[50])
	}
	if values, err = cluster.GetMany(background, nil, nil); err != nil || values != nil {
		t.Fatal(values, err)
	}
	if n, err := session.Count(background); err != nil || n != 50 {
		t.Fatal(n, err)
	}
	scan, err := session.Scan(background, &Range{Prefix: []byte("key-1")})
	must(t, err)
	n := 0
	for scan.Next() {
		n++
	}
	must(t, scan.Close())
	if n != 10 {
		t.Fatal(n)
	}
	health, err := cluster.Health()
	must(t, err)
	if health.State != HealthOK || health.Reasons != nil || health.ReplicasUp != 6 || health.ShardsWritable != 3 {
		t.Fatal(health)
	}
	if figures, err := cluster.Metrics(); err != nil || !strings.Contains(figures, "atoll_node_up{node=\"n1\"} 1\n") {
		t.Fatal(figures, err)
	}
	if found, err := cluster.Verify(background, nil); err != nil || found.Damaged != 0 {
		t.Fatal(found, err)
	}
	router, err := cluster.Router()
	must(t, err)
	place, err := router.Locate(keys[7])
	must(t, err)
	if about, err := cluster.Approximate(nil, place.Slot); err != nil || about.Records < 1 || about.Records >= 50 {
		t.Fatal(about, err)
	}
	if about, err := cluster.Approximate(&Range{Prefix: []byte("key")}, AnySlot); err != nil || about.Records != 50 {
		t.Fatal(about, err)
	}
	_, err = cluster.Approximate(nil, 1<<20)
	wants(t, err, ErrInvalid)
	copied, again := filepath.Join(t.TempDir(), "copy"), filepath.Join(t.TempDir(), "again")
	_, err = cluster.Backup(background, copied, true, nil)
	must(t, err)
	if n, err := cluster.DeleteRange(background, nil, &ClusterWrite{Durability: ClusterBuffered}); err != nil || n != 50 {
		t.Fatal(n, err)
	}
	_, err = Restore(background, copied, again, nil)
	must(t, err)
	restored, err := OpenCluster(background, again, nil)
	must(t, err)
	defer restored.Close()
	if n, err := restored.Count(background, nil); err != nil || n != 50 {
		t.Fatal(n, err)
	}
	// What a session has seen in both lives is there; what came after the copy is not, and the session is told so.
	if value, err := restored.Get(background, keys[0], session.how()); err != nil || !bytes.Equal(value, keys[0]) {
		t.Fatal(value, err)
	}
	must(t, session.Put(background, keys[0], nil, nil))
	_, err = restored.Get(background, keys[0], session.how())
	wants(t, err, ErrWriteLost)
	// A session is of one cluster.
	other, _ := openCluster(t, &ClusterOptions{Shards: 1})
	_, err = other.Get(background, keys[0], session.how())
	wants(t, err, ErrInvalid)
}

func TestHealthOfStores(t *testing.T) {
	store, dir := open(t, nil)
	must(t, store.Put([]byte("k"), nil, nil))
	snapshot, err := store.Snapshot()
	must(t, err)
	time.Sleep(20 * time.Millisecond)
	health, err := store.Health()
	must(t, err)
	if health.State != HealthOK || health.OldestSnapshot < 10*time.Millisecond || health.State.String() != "ok" {
		t.Fatal(health)
	}
	must(t, snapshot.Close())
	if figures, err := store.Metrics(); err != nil || !strings.Contains(figures, "atoll_ops_total{shard=\"0\",op=\"put\"} 1\n") {
		t.Fatal(figures, err)
	}
	reader, err := Open(background, dir, &Options{ReadOnly: true})
	must(t, err)
	defer reader.Close()
	if health, err = reader.Health(); err != nil || health.State != HealthReadOnly || len(health.Reasons) != 1 {
		t.Fatal(health, err)
	}
	_, err = reader.Metrics()
	wants(t, err, ErrUnsupported)
	must(t, store.Close())
	_, err = store.Health()
	wants(t, err, ErrClosed)
}

// A process that ends without closing leaves something to tell.
func TestMessagesGoToALogger(t *testing.T) {
	if left := os.Getenv("LEAVE_CLUSTER"); left != "" {
		cluster, err := OpenCluster(background, left, &ClusterOptions{Shards: 1, Replicas: 2})
		must(t, err)
		_, err = cluster.Put(background, []byte("k"), nil, nil)
		must(t, err)
		os.Exit(0)
	}
	dir := t.TempDir()
	leave := exec.Command(os.Args[0], "-test.run", "TestMessagesGoToALogger")
	leave.Env = append(os.Environ(), "LEAVE_CLUSTER="+dir)
	if out, err := leave.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	var lock sync.Mutex
	var told []string
	var within error
	must(t, SetLogger(func(level LogLevel, target, message string) {
		lock.Lock()
		defer lock.Unlock()
		told = append(told, level.String()+" "+target+" "+message)
		within = SetLogger(nil, 0)
	}, LogInfo))
	cluster, err := OpenCluster(background, dir, nil)
	must(t, err)
	must(t, cluster.Close())
	must(t, SetLogger(nil, 0))
	lock.Lock()
	defer lock.Unlock()
	if !strings.Contains(strings.Join(told, "\n"), "ecovered") || !strings.HasPrefix(told[0], "info atoll::") {
		t.Fatal(told)
	}
	wants(t, within, ErrBusy)
	wants(t, SetLogger(func(LogLevel, string, string) {}, 9), ErrInvalid)
}
