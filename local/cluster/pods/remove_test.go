package pods

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// fakeRuntime has pods by id, each with one container of the same id, and records the calls for them.
type fakeRuntime struct {
	cri.RuntimeServiceClient
	mutex       sync.Mutex
	pods        []string
	calls       []string
	graces      []int64
	stuckPod    string
	stubborn    bool
	unreachable bool
}

func (f *fakeRuntime) note(call string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.calls = append(f.calls, call)
}

func (f *fakeRuntime) ListPodSandbox(context.Context, *cri.ListPodSandboxRequest, ...grpc.CallOption) (*cri.ListPodSandboxResponse, error) {
	if f.unreachable {
		return nil, errors.New("connection refused")
	}
	response := &cri.ListPodSandboxResponse{}
	for _, id := range f.pods {
		response.Items = append(response.Items, &cri.PodSandbox{Id: id, Metadata: &cri.PodSandboxMetadata{Namespace: "shop", Name: id}})
	}
	return response, nil
}

func (f *fakeRuntime) ListContainers(_ context.Context, request *cri.ListContainersRequest, _ ...grpc.CallOption) (*cri.ListContainersResponse, error) {
	return &cri.ListContainersResponse{Containers: []*cri.Container{{Id: request.Filter.PodSandboxId}}}, nil
}

func (f *fakeRuntime) StopContainer(_ context.Context, request *cri.StopContainerRequest, _ ...grpc.CallOption) (*cri.StopContainerResponse, error) {
	f.note("end containers of " + request.ContainerId)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.graces = append(f.graces, request.Timeout)
	if f.stubborn {
		return nil, errors.New("still running")
	}
	return &cri.StopContainerResponse{}, nil
}

func (f *fakeRuntime) StopPodSandbox(_ context.Context, request *cri.StopPodSandboxRequest, _ ...grpc.CallOption) (*cri.StopPodSandboxResponse, error) {
	f.note("stop " + request.PodSandboxId)
	if request.PodSandboxId == f.stuckPod {
		return nil, errors.New("network plugin failed")
	}
	return &cri.StopPodSandboxResponse{}, nil
}

func (f *fakeRuntime) RemovePodSandbox(_ context.Context, request *cri.RemovePodSandboxRequest, _ ...grpc.CallOption) (*cri.RemovePodSandboxResponse, error) {
	f.note("remove " + request.PodSandboxId)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.pods = slices.DeleteFunc(f.pods, func(id string) bool { return id == request.PodSandboxId })
	return &cri.RemovePodSandboxResponse{}, nil
}

func TestContainersAreStoppedBeforeTheSandboxIsStoppedAndRemoved(t *testing.T) {
	runtime := &fakeRuntime{pods: []string{"api"}}
	removed, err := removeAll(t.Context(), runtime, 1500*time.Millisecond)
	if err != nil || removed != 1 {
		t.Fatalf("removed %d, %v", removed, err)
	}
	if want := []string{"end containers of api", "stop api", "remove api"}; !slices.Equal(runtime.calls, want) {
		t.Errorf("got %v, want %v", runtime.calls, want)
	}
	if want := []int64{2}; !slices.Equal(runtime.graces, want) {
		t.Errorf("grace of %v s, want it rounded up to %v", runtime.graces, want)
	}
}

func TestAContainerThatDoesNotStopDoesNotKeepItsPod(t *testing.T) {
	runtime := &fakeRuntime{pods: []string{"api"}, stubborn: true}
	if removed, err := removeAll(t.Context(), runtime, time.Second); err != nil || removed != 1 {
		t.Fatalf("removed %d, %v", removed, err)
	}
}

func TestAPodThatCannotBeRemovedIsNamedAndDoesNotKeepTheOthers(t *testing.T) {
	runtime := &fakeRuntime{pods: []string{"api", "stuck", "web"}, stuckPod: "stuck"}
	removed, err := removeAll(t.Context(), runtime, time.Second)
	if removed != 2 || !slices.Equal(runtime.pods, []string{"stuck"}) {
		t.Errorf("removed %d, left %v", removed, runtime.pods)
	}
	if err == nil || !strings.Contains(err.Error(), "shop/stuck: network plugin failed") {
		t.Errorf("error does not name the pod and the cause: %v", err)
	}
}

func TestARemovalCanBeRepeated(t *testing.T) {
	runtime := &fakeRuntime{pods: []string{"api", "web"}}
	for i, want := range []int{2, 0} {
		if removed, err := removeAll(t.Context(), runtime, time.Second); err != nil || removed != want {
			t.Errorf("run %d: removed %d, %v; want %d", i+1, removed, err, want)
		}
	}
}

func TestARuntimeThatDoesNotAnswerIsAnError(t *testing.T) {
	_, err := removeAll(t.Context(), &fakeRuntime{unreachable: true}, time.Second)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}

func TestTheCommandReportsMissingArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "usage: pods remove"},
		{[]string{"list"}, "usage: pods remove"},
		{[]string{"remove"}, "--endpoint is missing"},
		{[]string{"remove", "--endpoint", "unix:///does/not/exist.sock"}, "no such file"},
	} {
		if err := Main(t.Context(), test.args); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("pods %v: got error %v, want %q", test.args, err, test.want)
		}
	}
}
