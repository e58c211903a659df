#include "http.hpp"

// Boost 1.74 forgets it before `awaitable.hpp`.
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <optional>
#include <string>

namespace server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Parser = http::request_parser<http::vector_body<char>>;
using Error = boost::system::error_code;

constexpr std::uint32_t LARGEST_HEADER = 8 << 10;
// What is still read, and thrown away, of a request that was answered before its end. A socket that is
// closed with bytes unread makes the system take back the answer (RFC 9112, section 9.6).
constexpr std::size_t MOST_DRAINED = std::size_t{64} << 20;
constexpr std::chrono::seconds LONGEST_DRAIN{5};
// A default that a caller can change with `?threshold=`. It is that of MTCNN.
constexpr double THRESHOLD = 0.6;

Answer failed(unsigned status, const char* code, const char* message, const char* hint) {
  return {status, complaint(code, message, hint)};
}

// Counts what runs at one time. All of it happens on the one thread of the network.
class Turn {
 public:
  Turn(unsigned& running, unsigned most) : running_(running), taken_(running < most) {
    if (taken_) ++running_;
  }
  ~Turn() {
    if (taken_) --running_;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  explicit operator bool() const { return taken_; }

 private:
  unsigned& running_;
  bool taken_;
};

class Server {
 public:
  Server(Service& service, const Options& options)
      : service_(service),
        options_(options),
        work_(options.threads),
        acceptor_(network_, tcp::endpoint(asio::ip::address_v4::loopback(), options.port)),
        signals_(network_, SIGTERM, SIGINT) {}

  void run() {
    signals_.async_wait([this](Error error, int) {
      if (!error) acceptor_.close(error);
    });
    asio::co_spawn(network_, accept(), asio::detached);
    std::printf("listening on 127.0.0.1:%u\n", unsigned{acceptor_.local_endpoint().port()});
    std::fflush(stdout);
    // It returns once the last connection was answered.
    network_.run();
    work_.join();
    std::puts("stopped");
  }

 private:
  asio::awaitable<void> accept() {
    while (acceptor_.is_open()) {
      Error error;
      tcp::socket socket(network_);
      co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
      if (!error) asio::co_spawn(network_, session(beast::tcp_stream(std::move(socket))), asio::detached);
      // Without a free descriptor or memory, accepting fails at once, again and again.
      if (error) {
        asio::steady_timer pause(network_, std::chrono::milliseconds(100));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      }
    }
    Error ignored;
    signals_.cancel(ignored);
  }

  asio::awaitable<void> session(beast::tcp_stream stream) {
    Turn turn(connections_, options_.most_connections);
    // A connection too many gets no coroutine's worth of patience.
    stream.expires_after(turn ? options_.patience : std::chrono::seconds(1));
    beast::flat_buffer buffer;
    Parser parser;
    parser.header_limit(LARGEST_HEADER);
    parser.body_limit(std::max(options_.largest_model, options_.largest_picture));
    Answer answer = failed(503, "busy", "too many connections", "try again later");
    if (turn) answer = co_await respond(stream, buffer, parser);
    if (answer.status != 0) co_await finish(stream, parser, std::move(answer));
  }

  // Reads a request and answers it. A status of 0: there is nobody to answer.
  asio::awaitable<Answer> respond(beast::tcp_stream& stream, beast::flat_buffer& buffer, Parser& parser) {
    Error error;
    co_await http::async_read_header(stream, buffer, parser,
                                     asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return unread(error);
    const auto& request = parser.get();
    const std::string target(request.target());
    const std::string path = target.substr(0, target.find('?'));
    const bool is_model = path == "/model";
    const bool is_post = posted(request);
    if (!is_post && path != "/healthz" && path != "/report") {
      co_return failed(404, "not-found", "there is nothing at this path",
                       "POST /model, POST /predict, GET /report, GET /healthz");
    }
    if (request.method() != (is_post ? http::verb::post : http::verb::get)) {
      co_return failed(405, "wrong-method", "this path does not take this method",
                       "POST /model, POST /predict, GET /report, GET /healthz");
    }
    if (!is_post) co_return path == "/healthz" ? service_.health() : service_.report();

    const auto threshold = is_model ? THRESHOLD : wanted(target);
    if (!threshold) {
      co_return failed(400, "bad-query", "the query is not understood", "?threshold=0.6");
    }
    // Pictures are as many as connections: slow ones must not keep models out.
    Turn upload(is_model ? uploads_ : pictures_,
                is_model ? options_.most_uploads : options_.most_connections);
    if (!upload) co_return failed(503, "busy", "too many uploads", "try again later");
    const auto limit = is_model ? options_.largest_model : options_.largest_picture;
    if (parser.content_length().value_or(0) > limit) co_return unread(http::error::body_limit);
    parser.body_limit(limit);
    if (beast::iequals(request[http::field::expect], "100-continue")) {
      http::response<http::empty_body> go_on(http::status::continue_, request.version());
      co_await http::async_write(stream, go_on, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return Answer{0, {}};
    }
    co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return unread(error);

    // Judging and computing take their time: not on the thread that all connections share.
    stream.expires_never();
    const std::string name(request["x-model-name"]);
    const auto& body = request.body();
    const std::string_view bytes(body.data(), body.size());
    std::function<Answer()> job = [&]() -> Answer {
      return is_model ? service_.replace(name.empty() ? "upload" : name, bytes)
                      : service_.predict(bytes, *threshold);
    };
    // It refers to this coroutine's variables, which stay until the work is done.
    Answer answer = co_await asio::co_spawn(work_, work(std::move(job)), asio::use_awaitable);
    co_return answer;
  }

  // Whether the path of a request takes something.
  static bool posted(const Parser::value_type& request) {
    const auto path = request.target().substr(0, request.target().find('?'));
    return path == "/model" || path == "/predict";
  }

  static asio::awaitable<Answer> work(std::function<Answer()> job) {
    // Whatever libtorch throws at a request is that request's alone.
    try {
      co_return job();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "a request failed: %s\n", error.what());
      co_return failed(500, "internal", "the request failed", "the server's log says why");
    }
  }

  // `threshold` of the query; nothing where the query is not understood.
  static std::optional<double> wanted(const std::string& target) {
    const auto mark = target.find('?');
    if (mark == std::string::npos) return THRESHOLD;
    const std::string_view query = std::string_view(target).substr(mark + 1);
    constexpr std::string_view KEY = "threshold=";
    if (query.substr(0, KEY.size()) != KEY) return std::nullopt;
    double value = 0;
    const char* end = query.data() + query.size();
    const auto [rest, error] = std::from_chars(query.data() + KEY.size(), end, value);
    if (error != std::errc() || rest != end || !(value >= 0 && value <= 1)) return std::nullopt;
    return value;
  }

  // What to say to a request that could not be read to its end.
  static Answer unread(Error error) {
    if (error == http::error::body_limit) {
      return failed(413, "too-large", "the body is over the limit", "send a smaller file");
    }
    if (error == http::error::header_limit) {
      return failed(431, "header-too-large", "the header is over 8 KiB", "send fewer or shorter fields");
    }
    if (error == http::error::partial_message) {
      return failed(400, "truncated", "the body ends before its announced length", "send it again");
    }
    // Slow, gone, or never sent anything.
    if (error == beast::error::timeout || error == http::error::end_of_stream ||
        error.category() == asio::error::get_system_category()) {
      return {0, {}};
    }
    return failed(400, "bad-request", "the request is not HTTP/1.1 as this server reads it",
                  "see RFC 9112");
  }

  asio::awaitable<void> finish(beast::tcp_stream& stream, const Parser& parser, Answer answer) {
    http::response<http::string_body> response(static_cast<http::status>(answer.status), 11);
    response.set(http::field::content_type, "application/json");
    response.set(http::field::connection, "close");
    response.set("X-Content-Type-Options", "nosniff");
    if (answer.status == 503) response.set(http::field::retry_after, "1");
    if (answer.status == 405) response.set(http::field::allow, posted(parser.get()) ? "POST" : "GET");
    response.body() = std::move(answer.body);
    response.prepare_payload();
    Error error;
    stream.expires_after(options_.patience);
    co_await http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, error));
    stream.socket().shutdown(tcp::socket::shutdown_send, error);
    if (parser.is_done() || error) co_return;
    stream.expires_after(LONGEST_DRAIN);
    char thrown_away[16 << 10];
    for (std::size_t drained = 0; drained < MOST_DRAINED && !error;) {
      drained += co_await stream.async_read_some(asio::buffer(thrown_away),
                                                 asio::redirect_error(asio::use_awaitable, error));
    }
  }

  Service& service_;
  const Options& options_;
  asio::io_context network_{1};
  asio::thread_pool work_;
  tcp::acceptor acceptor_;
  asio::signal_set signals_;
  unsigned connections_ = 0;
  unsigned uploads_ = 0;
  unsigned pictures_ = 0;
};

}  // namespace

void serve(Service& service, const Options& options) { Server(service, options).run(); }

}  // namespace server
