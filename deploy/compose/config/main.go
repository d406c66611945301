// Command config is "docker compose config" for machines without Docker: it loads
// Compose files as Compose does, by Compose's own loader, with every profile, and prints
// what comes of them as JSON. The first file's folder is the project's.
//
//	go run -C deploy/compose/config . ../../../docker-compose.yml ../sync.yml
//
// It is a module of its own, so that nothing of it is in the program's.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	text, err := config(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "config:", err)
		os.Exit(1)
	}
	fmt.Println(string(text))
}

// config checks schema, references and interpolation: a service, volume, secret or
// anchor that is not there is an error.
func config(ctx context.Context, files []string) ([]byte, error) {
	for i, file := range files {
		absolute, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		files[i] = absolute
	}
	options, err := cli.NewProjectOptions(files, cli.WithProfiles([]string{"*"}), cli.WithDefaultConfigPath)
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	return project.MarshalJSON()
}
