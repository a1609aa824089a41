package life

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test program play the parts of other processes: the variable says which.
func TestMain(m *testing.M) {
	switch os.Getenv("LIFE_PART") {
	case "":
		os.Exit(m.Run())
	case "deaf": // ignores TERM and INT
		signal.Ignore(unix.SIGTERM, unix.SIGINT)
		fmt.Println("up")
		<-time.After(time.Hour) // select alone would be a deadlock to the runtime
	case "polite": // ends at TERM
		c := make(chan os.Signal, 1)
		signal.Notify(c, unix.SIGTERM)
		fmt.Println("up")
		<-c
	case "successor": // serves its name on the passed socket until stdin... its TERM
		playSuccessor()
	case "reuse": // in a namespace of its own, where it can choose the next number
		if err := playReuse(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("up")
	case "hold": // a parent that starts a child and then dies
		playParent()
	}
}

func playSuccessor() {
	sockets, err := NewSockets()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ln, err := sockets.Listen(context.Background(), os.Getenv("LIFE_ADDRESS"), net.ListenConfig{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGTERM)
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, os.Getenv("LIFE_NAME")) }))
	if _, err := TellReady(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	select {
	case <-c:
	case <-time.After(time.Minute):
	}
}
