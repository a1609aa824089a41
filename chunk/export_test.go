package chunk

import "hash/crc32"

// CRC is the checksum that the format uses.
func CRC(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
