package consensus

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
)

// An archive is how a snapshot travels: the files of one flat directory, in blocks with
// checksums (doc/format/raft.md).
const (
	archiveMagic = "HYSNAP\x00\x01" // the last byte is the version
	archiveBlock = 256 << 10
	archiveEnd   = 2 + 4 // empty name, number of files
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type archiveFile struct {
	name string
	size int64
}

// archiveFiles lists the files of dir by name.
func archiveFiles(fs vfs.FS, dir string) ([]archiveFile, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var files []archiveFile
	for _, name := range names {
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return nil, err
		}
		if info.IsDir() || !archiveName(name) {
			return nil, honeyant.E("consensus.archive", honeyant.Invalid, name, errors.New("only plain files can be in a checkpoint"))
		}
		files = append(files, archiveFile{name, info.Size()})
	}
	return files, nil
}

func archiveName(name string) bool {
	return name != "" && len(name) <= 255 && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00")
}

// archiveSize is the exact length of the archive of files.
func archiveSize(files []archiveFile) int64 {
	size := int64(len(archiveMagic) + archiveEnd)
	for _, f := range files {
		blocks := (f.size + archiveBlock - 1) / archiveBlock
		size += 2 + int64(len(f.name)) + 8 + 4 + f.size + 4*blocks
	}
	return size
}

// pack writes the archive of dir's files. A file must still have the size it had when listed.
func pack(w io.Writer, fs vfs.FS, dir string, files []archiveFile) error {
	if _, err := io.WriteString(w, archiveMagic); err != nil {
		return err
	}
	block := make([]byte, archiveBlock+4)
	for i, f := range files {
		head := binary.BigEndian.AppendUint16(nil, uint16(len(f.name)))
		head = append(head, f.name...)
		head = binary.BigEndian.AppendUint64(head, uint64(f.size))
		head = binary.BigEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
		if _, err := w.Write(head); err != nil {
			return err
		}
		if err := packFile(w, fs, fs.PathJoin(dir, f.name), f.size, uint32(i), block); err != nil {
			return err
		}
	}
	end := binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(len(files)))
	_, err := w.Write(end)
	return err
}

func packFile(w io.Writer, fs vfs.FS, path string, size int64, number uint32, block []byte) (err error) {
	file, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for left := size; left > 0; {
		part := block[:min(left, archiveBlock)]
		if _, err := io.ReadFull(file, part); err != nil {
			return honeyant.E("consensus.pack", honeyant.Corrupt, path, err)
		}
		left -= int64(len(part))
		part = binary.BigEndian.AppendUint32(part, blockSum(number, part))
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// blockSum is seeded by the file's number, so that blocks of two files can not change places.
func blockSum(number uint32, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(binary.BigEndian.AppendUint32(nil, number), castagnoli), castagnoli, b)
}

// unpack writes the files of an archive into dir, which exists, and syncs each of them.
// r must end with the archive. A fault of the archive is Corrupt.
func unpack(r io.Reader, fs vfs.FS, dir string) error {
	in := bufio.NewReaderSize(r, 64<<10)
	magic := make([]byte, len(archiveMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != archiveMagic {
		return badArchive("not an archive of this version", err)
	}
	block := make([]byte, archiveBlock+4)
	for number := uint32(0); ; number++ {
		f, err := unpackHead(in, number)
		if err != nil {
			return err
		}
		if f.name == "" {
			if _, err := in.ReadByte(); err != io.EOF {
				return badArchive("bytes left over", err)
			}
			return nil
		}
		if err := unpackFile(in, fs, fs.PathJoin(dir, f.name), f.size, number, block); err != nil {
			return err
		}
	}
}

func unpackHead(in io.Reader, number uint32) (archiveFile, error) {
	head := make([]byte, 2, 2+255+8+4)
	if _, err := io.ReadFull(in, head); err != nil {
		return archiveFile{}, badArchive("cut short", err)
	}
	n := int(binary.BigEndian.Uint16(head))
	if n == 0 {
		var count [4]byte
		if _, err := io.ReadFull(in, count[:]); err != nil || binary.BigEndian.Uint32(count[:]) != number {
			return archiveFile{}, badArchive("wrong number of files", err)
		}
		return archiveFile{}, nil
	}
	if n > 255 {
		return archiveFile{}, badArchive("name too long", nil)
	}
	head = head[:2+n+8+4]
	if _, err := io.ReadFull(in, head[2:]); err != nil {
		return archiveFile{}, badArchive("cut short", err)
	}
	body, sum := head[:2+n+8], binary.BigEndian.Uint32(head[2+n+8:])
	f := archiveFile{string(head[2 : 2+n]), int64(binary.BigEndian.Uint64(head[2+n:]))}
	if crc32.Checksum(body, castagnoli) != sum || !archiveName(f.name) || f.size < 0 {
		return archiveFile{}, badArchive("bad file header", nil)
	}
	return f, nil
}

func unpackFile(in io.Reader, fs vfs.FS, path string, size int64, number uint32, block []byte) (err error) {
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for left := size; left > 0; {
		n := min(left, archiveBlock)
		if _, err := io.ReadFull(in, block[:n+4]); err != nil {
			return badArchive("cut short", err)
		}
		if binary.BigEndian.Uint32(block[n:]) != blockSum(number, block[:n]) {
			return badArchive(fmt.Sprintf("block of %s does not match its checksum", fs.PathBase(path)), nil)
		}
		if _, err := file.Write(block[:n]); err != nil {
			return err
		}
		left -= n
	}
	return file.Sync()
}

func badArchive(what string, cause error) error {
	return honeyant.E("consensus.unpack", honeyant.Corrupt, "snapshot", errors.Join(errors.New(what), cause))
}
