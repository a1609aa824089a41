package fuse

// opCount is above every opcode of the protocol that this package answers.
const opCount = 64

// opNames are the opcodes of the protocol (linux/fuse.h).
var opNames = [opCount]string{
	1: "LOOKUP", 3: "GETATTR", 4: "SETATTR", 5: "READLINK", 6: "SYMLINK", 8: "MKNOD", 9: "MKDIR", 10: "UNLINK",
	11: "RMDIR", 12: "RENAME", 13: "LINK", 14: "OPEN", 15: "READ", 16: "WRITE", 17: "STATFS", 18: "RELEASE",
	20: "FSYNC", 21: "SETXATTR", 22: "GETXATTR", 23: "LISTXATTR", 24: "REMOVEXATTR", 25: "FLUSH", 27: "OPENDIR",
	28: "READDIR", 29: "RELEASEDIR", 30: "FSYNCDIR", 31: "GETLK", 32: "SETLK", 33: "SETLKW", 34: "ACCESS",
	35: "CREATE", 43: "FALLOCATE", 44: "READDIRPLUS", 45: "RENAME2", 46: "LSEEK", 47: "COPY_FILE_RANGE",
}

func (fs *FS) count(opcode uint32) {
	if opcode < opCount {
		fs.counts[opcode].Add(1)
	}
}

// Requests tells how many requests of each kind have come since the file system was made.
func (fs *FS) Requests() map[string]uint64 {
	all := make(map[string]uint64)
	for i := range fs.counts {
		if n := fs.counts[i].Load(); n > 0 && opNames[i] != "" {
			all[opNames[i]] = n
		}
	}
	return all
}
