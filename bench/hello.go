package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
)

// helloProgram is a static ELF executable of some 180 bytes that prints "hello" and exits:
// the same on every machine of an architecture, with no libc and no dynamic linker, so
// that starting it costs what the kernel takes. See elf(5).
func helloProgram() ([]byte, error) {
	const base, headers = 0x400000, 64 + 56
	text := []byte("hello\n")
	var code []byte
	var machine uint16
	switch runtime.GOARCH {
	case "amd64":
		machine = 62
		code = []byte{
			0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
			0xbf, 1, 0, 0, 0, // mov edi, 1
			0x48, 0x8d, 0x35, 0x10, 0, 0, 0, // lea rsi, [rip+16]: the text behind the code
			0xba, byte(len(text)), 0, 0, 0, // mov edx, length
			0x0f, 0x05, // syscall
			0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
			0x31, 0xff, // xor edi, edi
			0x0f, 0x05, // syscall
		}
	case "arm64":
		machine = 183
		for _, w := range []uint32{
			0xd2800020,                        // mov x0, #1
			0x100000e1,                        // adr x1, +28: the text behind the code
			0xd2800002 | uint32(len(text))<<5, // mov x2, length
			0xd2800808,                        // mov x8, #64 (write)
			0xd4000001,                        // svc 0
			0xd2800000,                        // mov x0, #0
			0xd2800ba8,                        // mov x8, #93 (exit)
			0xd4000001,                        // svc 0
		} {
			code = binary.LittleEndian.AppendUint32(code, w)
		}
	default:
		return nil, fmt.Errorf("no program is bundled for %s", runtime.GOARCH)
	}
	size := uint64(headers + len(code) + len(text))
	var b bytes.Buffer
	for _, v := range []any{
		[]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		uint16(2), machine, uint32(1), // executable
		uint64(base + headers), uint64(64), uint64(0), // entry, program headers, no sections
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000), // load, read and execute
		code, text,
	} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
