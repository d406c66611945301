package db_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dynamic are the functions that send SQL that is not a constant, each with where it comes
// from. None hears a request: they are of the harness, whose servers are its own, or of an
// operator's commands, or choose among constants.
var dynamic = map[string]string{
	"db/fresh.runTx":                               "one of two constants",
	"(*db/fresh.wire).encode":                      "what Reader.Query and QueryRow were given, whose callers are held to the same",
	"(*internal/bench.world).fill":                 "the database is called after a number of our own",
	"(*internal/check.probe).ask":                  "a file of the package",
	"(*cmd/shop.clusterSQLCmd).Run":                "what the operator of a local cluster has typed",
	"(*deploy/patroni.cluster).makeShop":           "a file of migrations",
	"internal/dbtest.NewEmpty":                     "a file of migrations",
	"internal/dbtest.create":                       "the database's name has a number of our own",
	"internal/dbtest.catchUp":                      "an LSN that the server has just said",
	"internal/dbtest.exec":                         "constants, and the address of another node",
	"(*internal/pgcluster.Cluster).createDatabase": "Config's own names, quoted, and its InitSQL",
	"(*internal/pgcluster.Cluster).createRoles":    "Config's own names, quoted, and passwords of hexadecimal digits",
	"(*internal/pgcluster.Cluster).forget":         "slots are called after the nodes",
	"(*internal/pgcluster.Node).makeSlots":         "slots are called after the nodes",
	"(*internal/pgcluster.Node).leaveOthers":       "slots are called after the nodes",
	"(*internal/pgcluster.Node).setReplay":         "one of two functions, named by its callers",
	"internal/chaos.newWorld":                      "a constant of the scenario's",
	"internal/chaos.schemaChange":                  "one of some constants",
}

// All SQL that reaches a database is constant, so no value of a request can become a
// part of a statement. A function may hand on SQL that it was given; its callers are then
// held to the same. And what has arguments never goes by the simple protocol, where the
// driver writes them into the text. Tests are free.
func TestAllSQLIsConstant(t *testing.T) {
	p := loadProgram(t)
	for p.spread() { // until no function is found to hand on SQL
	}
	found := map[string]bool{}
	for _, pkg := range p.packages {
		for _, in := range pkg.violations(p) {
			found[in] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(dynamic)), slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("functions that send SQL that is not constant, those that may (-) and do (+):\n%s", diff)
	}
	if p.checked < 100 {
		t.Errorf("%d calls were checked: the test has lost sight of most", p.checked)
	}
}

// A program is the packages of the module without their tests.
type program struct {
	fset     *token.FileSet
	packages []*checkedPackage
	exports  map[string]string
	sinks    map[string]int // functions by their full name, and which parameter is SQL
	checked  int
}

type checkedPackage struct {
	path  string
	files []*ast.File
	info  *types.Info
}

// loadProgram type-checks each package against what the compiler exported of the others.
func loadProgram(t *testing.T) *program {
	t.Helper()
	p := &program{fset: token.NewFileSet(), exports: map[string]string{}, sinks: map[string]int{}}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles,Module", "./...")
	cmd.Dir = ".."
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	type listed struct {
		ImportPath, Export, Dir string
		GoFiles                 []string
		Module                  *struct{ Main bool }
	}
	var own []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.exports[l.ImportPath] = l.Export
		if l.Module != nil && l.Module.Main {
			own = append(own, l)
		}
	}
	lookup := importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(p.exports[path]) })
	for _, l := range own {
		pkg := &checkedPackage{path: l.ImportPath, info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
		}}
		for _, name := range l.GoFiles {
			file, err := parser.ParseFile(p.fset, filepath.Join(l.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			pkg.files = append(pkg.files, file)
		}
		if _, err := (&types.Config{Importer: lookup}).Check(l.ImportPath, p.fset, pkg.files, pkg.info); err != nil {
			t.Fatal(err)
		}
		p.packages = append(p.packages, pkg)
	}
	return p
}

// sink returns which argument of a call is SQL, and -1 for none.
func (p *program) sink(f *types.Func) int {
	if i, ok := p.sinks[f.FullName()]; ok {
		return i
	}
	params := f.Signature().Params()
	path := ""
	if f.Pkg() != nil {
		path = f.Pkg().Path()
	}
	driver := strings.HasPrefix(path, "github.com/jackc/pgx/") || path == "database/sql"
	for i := range params.Len() {
		isText := types.Identical(params.At(i).Type(), types.Typ[types.String])
		name := params.At(i).Name()
		switch {
		case isText && driver && (name == "sql" || name == "query"):
			return i
		case isText && i == 1 && slices.Contains([]string{"Exec", "Query", "QueryRow"}, f.Name()) && params.At(0).Type().String() == "context.Context":
			return i // also the interfaces of generated code, whose parameters have no names
		}
	}
	return -1
}

// each calls visit for every call that takes SQL, with the function that it stands in.
func (pkg *checkedPackage) each(p *program, visit func(in *ast.FuncDecl, call *ast.CallExpr, sql ast.Expr)) {
	for _, file := range pkg.files {
		for _, decl := range file.Decls {
			in, _ := decl.(*ast.FuncDecl)
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if f := pkg.callee(call); f != nil {
					if i := p.sink(f); i >= 0 && i < len(call.Args) {
						visit(in, call, call.Args[i])
					}
				}
				return true
			})
		}
	}
}

func (pkg *checkedPackage) callee(call *ast.CallExpr) *types.Func {
	var name *ast.Ident
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		name = fun
	case *ast.SelectorExpr:
		name = fun.Sel
	case *ast.IndexExpr: // of a generic function
		name, _ = fun.X.(*ast.Ident)
	}
	if name == nil {
		return nil
	}
	f, _ := pkg.info.Uses[name].(*types.Func)
	if f != nil {
		f = f.Origin()
	}
	return f
}

// spread makes sinks of the functions that hand their own parameter on as SQL, and
// reports whether there was a new one.
func (p *program) spread() (more bool) {
	for _, pkg := range p.packages {
		pkg.each(p, func(in *ast.FuncDecl, _ *ast.CallExpr, sql ast.Expr) {
			f, i := pkg.parameter(in, sql)
			if f == nil {
				return
			}
			if _, known := p.sinks[f.FullName()]; !known {
				p.sinks[f.FullName()], more = i, true
			}
		})
	}
	return more
}

// parameter returns the function whose parameter the expression is, and which.
func (pkg *checkedPackage) parameter(in *ast.FuncDecl, e ast.Expr) (*types.Func, int) {
	name, ok := ast.Unparen(e).(*ast.Ident)
	if !ok || in == nil {
		return nil, -1
	}
	f, _ := pkg.info.Defs[in.Name].(*types.Func)
	params := f.Signature().Params()
	for i := range params.Len() {
		if params.At(i) == pkg.info.Uses[name] {
			return f, i
		}
	}
	return nil, -1
}

// violations are the functions with a call whose SQL is not constant.
func (pkg *checkedPackage) violations(p *program) (in []string) {
	pkg.each(p, func(decl *ast.FuncDecl, call *ast.CallExpr, sql ast.Expr) {
		p.checked++
		f, _ := pkg.parameter(decl, sql)
		if (f == nil && !pkg.constant(sql)) || pkg.simple(call) {
			in = append(in, pkg.nameOf(decl))
		}
	})
	return in
}

func (pkg *checkedPackage) nameOf(decl *ast.FuncDecl) string {
	if decl == nil {
		return pkg.path + ": a variable"
	}
	return strings.ReplaceAll(pkg.info.Defs[decl.Name].(*types.Func).FullName(), "example.com/leeway/", "")
}

// constant also takes a call of a function that can return nothing but constants.
func (pkg *checkedPackage) constant(e ast.Expr) bool {
	if pkg.info.Types[e].Value != nil {
		return true
	}
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	f := pkg.callee(call)
	return f != nil && pkg.returnsConstants(f)
}

func (pkg *checkedPackage) returnsConstants(f *types.Func) bool {
	for _, file := range pkg.files {
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || pkg.info.Defs[fn.Name] != f {
				continue
			}
			constant := true
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if r, ok := n.(*ast.ReturnStmt); ok {
					constant = constant && len(r.Results) == 1 && pkg.info.Types[r.Results[0]].Value != nil
				}
				return true
			})
			return constant
		}
	}
	return false
}

// simple: the call asks for the simple protocol and has arguments.
func (pkg *checkedPackage) simple(call *ast.CallExpr) bool {
	for i, arg := range call.Args {
		if s, ok := arg.(*ast.SelectorExpr); ok && s.Sel.Name == "QueryExecModeSimpleProtocol" {
			return i < len(call.Args)-1
		}
	}
	return false
}
