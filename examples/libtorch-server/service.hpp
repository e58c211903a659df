// What the server does with a request, without a word of HTTP's wire format or of libtorch.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace server {

struct Model;

// An answer: a status, and a body of JSON.
struct Answer {
  unsigned status;
  std::string body;
};

// {"code": …, "message": …, "hint": …}
std::string complaint(std::string_view code, std::string_view message, std::string_view hint);

// Any number of threads may call it.
class Service {
 public:
  Service() = default;

  // Judges the file and, where it is let through and fits the network, serves it from now on. The
  // model before it stays where anything goes wrong, and requests that run keep the one they have.
  Answer replace(std::string_view name, std::string_view file);
  // Proposes faces in a picture.
  Answer predict(std::string_view picture, double threshold) const;
  // What the gate said about the model that is served.
  Answer report() const;
  Answer health() const;

 private:
  std::shared_ptr<Model> current() const;

  mutable std::mutex lock_;
  std::shared_ptr<Model> model_;
};

}  // namespace server
